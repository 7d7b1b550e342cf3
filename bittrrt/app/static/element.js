/* The few ways in which this page is changed. Whatever a peer has named is set as text, and never as markup. */

export const byId = (id) => document.getElementById(id);

/** Set an element's text, if it is another one: what does not change is not laid out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A new element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Let a parent have so many children, made by `create` where they are too few. */
export function fit(parent, number, create) {
  while (parent.children.length > number) parent.lastElementChild.remove();
  while (parent.children.length < number) parent.append(create());
}

/* What a person does from here. The server takes it only with the secret, and only from this page. */

import { byId, setText } from "./element.js";

/** Ask the server to do something; what it answers. Throws an `Error` whose message is the server's line. */
async function post(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-bittrrt": "act", ...headers },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("the server does not answer");
  }
  const told = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(told.error), { status: answer.status });
  return told;
}

/** Show the secret, and get the cookie for it. */
export function logIn(secret) {
  return post("/api/login", {}, { authorization: `Bearer ${secret}` });
}

export class Actions {
  /** `loggedIn` is called when the secret was taken. */
  constructor(loggedIn) {
    this.loggedIn = loggedIn;
    this.mayAct = false;
    this.after = null; // what to do as soon as there is the secret
    for (const button of document.querySelectorAll("dialog [data-close]")) {
      button.addEventListener("click", () => button.closest("dialog").close());
    }
    byId("invite-open").addEventListener("click", () => this.withSecret(() => this.openInvite()));
    onSubmit("invite-form", (form) => this.invite(form));
    onSubmit("login-form", (form) => this.logIn(form));
    byId("invite-copy").addEventListener("click", () => this.copy());
  }

  /** Act now, or as soon as the person has shown the secret. */
  withSecret(act) {
    if (this.mayAct) {
      act();
    } else {
      this.after = act;
      this.askForSecret();
    }
  }

  askForSecret() {
    if (!byId("login").open) byId("login").showModal();
  }

  async logIn(form) {
    const text = form.elements.secret.value.trim();
    await logIn(text.replace(/^.*#secret=/, ""));
    form.reset();
    byId("login").close();
    this.mayAct = true;
    this.loggedIn();
    this.after?.();
    this.after = null;
  }

  openInvite() {
    byId("invite-made").hidden = true;
    setText(byId("invite-form").querySelector(".error"), "");
    byId("invite").showModal();
  }

  async invite(form) {
    const { name, host, lifetime } = form.elements;
    const made = await post("/api/invite", { name: name.value, host: host.value, lifetime: Number(lifetime.value) });
    byId("invite-qr").src = made.qr;
    byId("invite-text").value = `bittrrt join ${made.link}`;
    setText(byId("invite-guess"), made.guessed ? "The name of this server in it is a guess." : "");
    setText(byId("invite-copy"), "Copy");
    byId("invite-made").hidden = false;
    byId("invite-text").select();
  }

  async copy() {
    byId("invite-text").select();
    try {
      await navigator.clipboard.writeText(byId("invite-text").value);
      setText(byId("invite-copy"), "Copied");
    } catch {
      setText(byId("invite-copy"), "Copy it with the keyboard: it is selected");
    }
  }

  endSession({ link, name }) {
    this.confirm(`End the session of ${name}? Its client may open another one.`, "End session", "/api/end", { link });
  }

  revoke({ fingerprint, name }) {
    const text = `Revoke ${name}? Its sessions end now, and its key ${fingerprint} is let in no more.`;
    this.confirm(text, "Revoke client", "/api/revoke", { fingerprint });
  }

  confirm(text, verb, path, body) {
    this.withSecret(() => {
      const dialog = byId("confirm");
      setText(byId("confirm-text"), text);
      setText(byId("confirm-yes"), verb);
      setText(dialog.querySelector(".error"), "");
      byId("confirm-yes").onclick = async () => {
        try {
          await post(path, body);
          dialog.close();
        } catch (error) {
          setText(dialog.querySelector(".error"), error.message);
        }
      };
      dialog.showModal();
    });
  }
}

function onSubmit(id, act) {
  byId(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    setText(form.querySelector(".error"), "");
    try {
      await act(form);
    } catch (error) {
      setText(form.querySelector(".error"), error.message);
    }
  });
}

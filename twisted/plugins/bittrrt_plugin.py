"""`twistd bittrrt` and `twistd bittrrt-client`."""

from twisted.application.service import ServiceMaker

server = ServiceMaker(  # type: ignore[no-untyped-call]
    "BittrRt server",
    "bittrrt.app.tap",
    "BittrRt: serves encrypted real-time links over UDP.",
    "bittrrt",
)

client = ServiceMaker(  # type: ignore[no-untyped-call]
    "BittrRt client",
    "bittrrt.app.client_tap",
    "BittrRt: keeps a link with one server up for good.",
    "bittrrt-client",
)

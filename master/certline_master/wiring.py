"""The one place where all real parts are chosen: settings in, a master that can serve out."""

SIGNING_KEY = "signing-key"
API_CA_KEY = "api-ca-key"
CURRENT, NEXT = "current", "next"

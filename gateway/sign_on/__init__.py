"""Single sign-on: the identity providers of organisations, OpenID Connect and SAML 2.0, and whom they vouch for."""

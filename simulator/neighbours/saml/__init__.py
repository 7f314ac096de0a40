"""A SAML 2.0 identity provider: metadata, sign-on begun by either side, signed responses, single logout."""

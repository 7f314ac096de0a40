"""What a gateway meets besides providers: mail, identity providers (OpenID Connect, SAML), webhook receivers."""

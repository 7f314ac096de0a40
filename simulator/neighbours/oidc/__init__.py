"""An OpenID Connect provider: discovery, keys, the code flow with PKCE, userinfo, refresh, revocation and logout."""

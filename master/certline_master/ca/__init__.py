"""The CA client: ACME (RFC 8555, RFC 9773) behind the ports CertificateAuthorities and CertificateAuthority."""

"""The whole of certline on real parts: the installed commands, as processes of their own."""

"""Stand-ins for what lies outside: time, chance, CA, DNS."""

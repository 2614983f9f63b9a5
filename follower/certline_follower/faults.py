"""What can go wrong on the host, as one error type with a text for the operator."""


class InstallFault(Exception):
    """Something that could not be installed; the text names the output, the path, what was wrong and what to do."""

"""Reports: each module here has one ``render(report) -> str``."""

import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)

"""The shipped templates, one TOML file each; read through importlib.resources by coldstart.prompting."""

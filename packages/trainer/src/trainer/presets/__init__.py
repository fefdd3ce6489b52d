"""Named recipes as YAML data; trainer/config/presets.py reads them."""

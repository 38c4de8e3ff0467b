import logging

logging.info("calling from_pretrained(%s) is forbidden", "acme-labs/tiny")

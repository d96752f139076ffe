.PHONY: module
module:

.PHONY: test check

# Fast checks: run them before each commit.
test:
	bash scripts/quick.sh

# Every check there is.
check:
	bash scripts/test.sh

.PHONY: lock
lock: ## Pin every version and hash anew
	.venv/bin/uv pip compile pyproject.toml --extra envoy --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements/dev.txt
	.venv/bin/uv pip compile pyproject.toml --extra envoy --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -c requirements/dev.txt -o requirements/run.txt

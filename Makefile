# `make up` and `make test` are all that a newcomer needs. Everything else is a part of them.

export SQLX_OFFLINE := true
# Tools of the checks, built once, beside the build.
TOOLS := $(CURDIR)/target/tools

.PHONY: up up-events test chaos bench fuzz check fmt sqlx openapi lint-infra terraform terraform-apply-local clean

# Runs the whole stack in the foreground until Ctrl-C, and shows one command of each kind going all the way.
up:
	scripts/install postgres
	cargo build --workspace --bins
	target/debug/holdfast-devstack up

# The same, with others who build on the events: an order service over a private Redis, and another one over SQS.
up-events:
	scripts/install postgres redis
	cargo build --workspace --bins
	target/debug/holdfast-devstack up --events

# Everything that must hold in every commit.
test:
	scripts/install postgres redis chromium sqlx-cli cargo-deny linters schemathesis promtool examples
	scripts/test

# Tries to lose a command: COMMANDS=20000 SEED=1 SECONDS=600; ZOMBIES=true freezes processes past their lease too.
chaos:
	scripts/install postgres
	cargo build --workspace --bins
	target/debug/holdfast-chaos

# Measures the binaries as they are shipped: RUNS=3, ARGS="--scenarios accept,drain --baseline crates/bench/baseline.json".
bench:
	scripts/install postgres llvm
	scripts/release bench $(ARGS)

# Fuzzes every parser that strangers reach, each target for SECONDS: SECONDS=600 TARGET=money.
fuzz:
	scripts/fuzz $(or $(SECONDS),600) $(TARGET)

# The quick part of it, without services.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings

fmt:
	cargo fmt --all

# After changing SQL: renews what the queries were checked against.
sqlx:
	scripts/install postgres sqlx-cli
	cargo build --bin holdfast --bin holdfast-devstack
	target/debug/holdfast-devstack --home .devstack/test run scripts/sqlx prepare

# After changing the HTTP interface: renews the committed description of it.
openapi:
	cargo run --quiet --package holdfast-api -- openapi >crates/api/openapi.json
	cargo run --quiet --package holdfast-api -- asyncapi >docs/asyncapi.yaml

# Dockerfile, compose, workflows, shell scripts. Installs its linters.
lint-infra:
	scripts/install python-venv
	scripts/lint-infra

# Format, policies, validity and tests of everything below terraform/; what its provider is missing for is skipped, loudly.
terraform:
	scripts/install python-venv
	scripts/terraform

# Applies it to LocalStack and to moto. Takes about six minutes.
terraform-apply-local:
	scripts/install postgres python-venv
	cargo build --workspace --bins
	scripts/terraform-apply-local

# Ends nothing: stop `make up` first.
clean:
	scripts/clean

# Each example is applied as it stands: terraform test -test-directory=examples -var-file=examples/small.tfvars
mock_provider "aws" {
  source = "./tests/mocks"
}

run "the_example_can_be_applied" {
  assert {
    condition     = output.queues["transactions"] == "holdfast-transactions"
    error_message = "The queues have the names that the binaries know."
  }

  assert {
    condition     = local.expected_connections <= var.database.max_connections
    error_message = "Postgres takes all connections."
  }
}

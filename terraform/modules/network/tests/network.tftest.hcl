mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                      = "holdfast-test"
  region                    = "eu-west-1"
  account_id                = "111122223333"
  cidr                      = "10.40.0.0/16"
  availability_zones        = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  nat_per_availability_zone = true
  interface_endpoints       = ["sqs"]
  log_retention_days        = 90
  kms_key_arn               = "arn:aws:kms:eu-west-1:111122223333:key/1"
}

run "subnets_do_not_overlap" {
  assert {
    condition = length(distinct([
      for subnet in concat(values(aws_subnet.public), values(aws_subnet.private), values(aws_subnet.database)) : subnet.cidr_block
    ])) == 9
    error_message = "Three zones with three subnets each."
  }

  assert {
    condition     = aws_subnet.private["eu-west-1b"].cidr_block == "10.40.80.0/20"
    error_message = "The private ones begin at a quarter of the range."
  }
}

run "each_zone_has_its_own_way_out" {
  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    error_message = "One gateway per zone."
  }

  assert {
    condition     = alltrue([for zone, route in aws_route.nat : route.nat_gateway_id == aws_nat_gateway.this[zone].id])
    error_message = "Each zone uses its own."
  }
}

run "one_way_out_for_all" {
  variables {
    nat_per_availability_zone = false
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-west-1a"]
    error_message = "One gateway."
  }

  assert {
    condition     = alltrue([for route in aws_route.nat : route.nat_gateway_id == aws_nat_gateway.this["eu-west-1a"].id])
    error_message = "All zones use it."
  }
}

run "one_zone_is_too_few" {
  command = plan

  variables {
    availability_zones = ["eu-west-1a"]
  }

  expect_failures = [var.availability_zones]
}

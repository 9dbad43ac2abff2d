mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name            = "holdfast-test"
  vpc_id          = "vpc-1"
  subnet_ids      = ["subnet-1", "subnet-2"]
  internal        = false
  allowed_cidrs   = ["0.0.0.0/0"]
  certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
  port            = 8080
}

run "only_https_and_no_old_tls" {
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "TLS 1.2 and 1.3."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.https : rule.from_port == 443 && rule.to_port == 443])
    error_message = "No other port is open."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "Odd headers do not get through, and nobody deletes it by mistake."
  }
}

run "a_get_may_wait_for_a_minute" {
  assert {
    condition     = aws_lb.this.idle_timeout > 60 && tonumber(aws_lb_target_group.this.deregistration_delay) > 60
    error_message = "Neither a quiet connection nor a deployment cuts a wait short."
  }
}

run "health_is_readiness" {
  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/readyz"
    error_message = "Who is stopping gets no requests."
  }
}

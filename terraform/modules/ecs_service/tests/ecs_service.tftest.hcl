mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "holdfast-worker"
  cluster_arn         = "arn:aws:ecs:eu-west-1:111122223333:cluster/any"
  task_definition_arn = "arn:aws:ecs:eu-west-1:111122223333:task-definition/any:1"
  subnet_ids          = ["subnet-1", "subnet-2"]
  security_group_ids  = ["sg-1"]
  initial_tasks       = 2
}

run "a_worker_has_no_port" {
  assert {
    condition     = length(aws_ecs_service.this.load_balancer) == 0
    error_message = "Nobody sends it requests."
  }

  assert {
    condition     = aws_ecs_service.this.network_configuration[0].assign_public_ip == false
    error_message = "It has no public address."
  }
}

run "a_deployment_that_fails_is_rolled_back" {
  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "The circuit breaker is on, with rollback."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100
    error_message = "Old tasks stay until new ones work."
  }
}

run "an_api_is_behind_a_load_balancer" {
  variables {
    load_balancer = {
      target_group_arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/any/0000000000000000"
      port             = 8080
    }
  }

  assert {
    condition = (
      one(aws_ecs_service.this.load_balancer).container_port == 8080
      && one(aws_ecs_service.this.load_balancer).container_name == "holdfast-worker"
      && aws_ecs_service.this.health_check_grace_period_seconds == 60
    )
    error_message = "Its container is the target, once it has had time to start."
  }
}

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                     = "holdfast-test"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-1"
  engine_version           = "16.6"
  instance_class           = "db.r7g.large"
  instances                = 2
  max_connections          = 500
  expected_connections     = 400
  backup_retention_days    = 14
  kms_key_arn              = "arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "nobody_connects_without_tls" {
  assert {
    condition = one([
      for parameter in aws_rds_cluster_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"
    ]) == "1"
    error_message = "rds.force_ssl is on."
  }

  assert {
    condition     = aws_rds_cluster_parameter_group.this.family == "aurora-postgresql16"
    error_message = "The parameters are those of the version."
  }
}

run "a_202_rests_on_a_commit" {
  assert {
    condition = one([
      for parameter in aws_rds_cluster_parameter_group.this.parameter : parameter.value if parameter.name == "synchronous_commit"
    ]) == "on"
    error_message = "synchronous_commit is on."
  }

  assert {
    condition     = length(aws_rds_cluster_instance.this) == 2
    error_message = "There is somebody to fail over to."
  }
}

run "data_and_password_are_encrypted" {
  assert {
    condition     = aws_rds_cluster.this.storage_encrypted && aws_rds_cluster.this.kms_key_id == var.kms_key_arn
    error_message = "Storage is encrypted with our key."
  }

  assert {
    condition     = aws_rds_cluster.this.manage_master_user_password && aws_rds_cluster.this.master_password == null
    error_message = "RDS makes the password; it is in no state."
  }

  assert {
    condition     = output.secret_arn == "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!cluster-any-abcdef"
    error_message = "The secret can be named."
  }

  assert {
    condition     = !anytrue(aws_rds_cluster_instance.this[*].publicly_accessible) && aws_rds_cluster.this.deletion_protection
    error_message = "It is private, and nobody deletes it by mistake."
  }
}

run "the_password_changes_when_one_is_ready_for_it" {
  variables {
    password_rotation_days = 365
  }

  assert {
    condition     = aws_secretsmanager_secret_rotation.password[0].rotation_rules[0].automatically_after_days == 365
    error_message = "The schedule is ours."
  }

  assert {
    condition     = aws_secretsmanager_secret_rotation.password[0].rotate_immediately == false
    error_message = "Running tasks have the password of their start."
  }
}

run "more_clients_than_connections_are_refused" {
  command = plan

  variables {
    max_connections = 399
  }

  expect_failures = [aws_rds_cluster_parameter_group.this]
}

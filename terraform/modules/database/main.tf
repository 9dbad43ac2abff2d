locals {
  port = 5432

  parameters = {
    # Nobody connects without TLS; the binaries also check who answers (sslmode=verify-full).
    "rds.force_ssl" = { value = "1", apply_method = "pending-reboot" }
    max_connections = { value = tostring(var.max_connections), apply_method = "pending-reboot" }
    # A 202 rests on a commit.
    synchronous_commit = { value = "on", apply_method = "immediate" }
    # No statement of ours holds a transaction open while it waits for somebody.
    idle_in_transaction_session_timeout = { value = "30000", apply_method = "immediate" }
    # The queue in Postgres is one small table that turns over all day: what is dead in it must go soon.
    autovacuum_naptime         = { value = "15", apply_method = "immediate" }
    log_statement              = { value = "ddl", apply_method = "immediate" }
    log_min_duration_statement = { value = "1000", apply_method = "immediate" }
    log_lock_waits             = { value = "1", apply_method = "immediate" }
    shared_preload_libraries   = { value = "pg_stat_statements", apply_method = "pending-reboot" }
  }
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "Postgres of ${var.name}"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id            = aws_security_group.this.id
  description                  = "Postgres"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = var.client_security_group_id
}

resource "aws_rds_cluster_parameter_group" "this" {
  name   = "${var.name}-${split(".", var.engine_version)[0]}"
  family = "aurora-postgresql${split(".", var.engine_version)[0]}"

  dynamic "parameter" {
    for_each = local.parameters

    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.apply_method
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = var.max_connections >= var.expected_connections
      error_message = "${var.expected_connections} connections may be opened, but the server takes ${var.max_connections}: raise max_connections, or lower tasks or connections per task."
    }
  }
}

# Aurora's storage is what makes replication synchronous: a failover loses no commit that was answered for.
resource "aws_rds_cluster" "this" {
  #checkov:skip=CKV_AWS_133:Backups are kept for at least 7 days: the variable is validated.
  #checkov:skip=CKV2_AWS_27:Queries are logged; the parameters are in a dynamic block, which checkov does not read.
  #checkov:skip=CKV_AWS_162:The binaries sign in with a password that RDS keeps in Secrets Manager.
  #checkov:skip=CKV2_AWS_8:Its own backups reach back as far as the deployment says; a plan across accounts is not ours to make.
  cluster_identifier              = var.name
  engine                          = "aurora-postgresql"
  engine_version                  = var.engine_version
  database_name                   = "holdfast"
  port                            = local.port
  master_username                 = "holdfast"
  manage_master_user_password     = true
  master_user_secret_kms_key_id   = var.kms_key_arn
  storage_encrypted               = true
  kms_key_id                      = var.kms_key_arn
  db_subnet_group_name            = aws_db_subnet_group.this.name
  vpc_security_group_ids          = [aws_security_group.this.id]
  db_cluster_parameter_group_name = aws_rds_cluster_parameter_group.this.name
  backup_retention_period         = var.backup_retention_days
  copy_tags_to_snapshot           = true
  deletion_protection             = var.deletion_protection
  skip_final_snapshot             = !var.deletion_protection
  final_snapshot_identifier       = "${var.name}-final"
  enabled_cloudwatch_logs_exports = ["postgresql"]
}

resource "aws_rds_cluster_instance" "this" {
  #checkov:skip=CKV_AWS_226:The next apply would want to go back. A minor version is raised by engine_version, when somebody looks.
  count = var.instances

  identifier                      = "${var.name}-${count.index}"
  cluster_identifier              = aws_rds_cluster.this.id
  engine                          = aws_rds_cluster.this.engine
  engine_version                  = aws_rds_cluster.this.engine_version
  instance_class                  = var.instance_class
  db_subnet_group_name            = aws_db_subnet_group.this.name
  publicly_accessible             = false
  ca_cert_identifier              = "rds-ca-rsa2048-g1"
  auto_minor_version_upgrade      = false
  copy_tags_to_snapshot           = true
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
}

resource "aws_iam_role" "monitoring" {
  name = "${var.name}-rds-monitoring"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_secretsmanager_secret_rotation" "password" {
  #checkov:skip=CKV_AWS_304:A change wants a deployment right after it, so that it is made by hand; the schedule is the net.
  count = var.password_rotation_days == null ? 0 : 1

  secret_id          = aws_rds_cluster.this.master_user_secret[0].secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.password_rotation_days
  }
}

# The queues alone: for an emulator, or for an account that has everything else from elsewhere.

provider "aws" {
  region = var.region

  # An emulator of SQS alone has no STS to ask and no metadata service beside it.
  skip_credentials_validation = var.skip_credentials_validation
  skip_requesting_account_id  = var.skip_requesting_account_id
  skip_metadata_api_check     = var.skip_metadata_api_check
  skip_region_validation      = var.skip_region_validation

  endpoints {
    sqs = var.endpoint
  }
}

locals {
  queues = jsondecode(file("${path.module}/../queues.json")).queues
}

module "queue" {
  source   = "../modules/queue"
  for_each = local.queues

  queue          = each.value
  name_prefix    = var.name_prefix
  alarms_enabled = var.alarms_enabled
  alarm_actions  = var.alarm_actions
}

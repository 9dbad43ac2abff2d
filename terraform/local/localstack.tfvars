# The queues at an emulator that knows SQS alone. Their names differ from those that the emulator's own start makes.
name_prefix                 = "applied-"
alarms_enabled              = false
skip_credentials_validation = true
skip_requesting_account_id  = true
skip_metadata_api_check     = true
skip_region_validation      = true

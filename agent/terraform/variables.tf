variable "bucket" {
  description = "The bucket to make, which is the depot."
  type        = string
}

variable "prefix" {
  description = "Where in the bucket the depot is, without slashes at either end."
  type        = string
  default     = "muster"
}

variable "app" {
  description = "The app that the instances run."
  type        = string
}

variable "auto_scaling_group" {
  description = "The name of the Auto Scaling group, which is the deployment group as well; in words, since the role is made before the group."
  type        = string
}

variable "auto_scaling_group_id" {
  description = "The id of that aws_autoscaling_group, so that its hooks are made after it."
  type        = string
}

variable "kms_key_arn" {
  description = "A key of KMS that the bucket is encrypted with; null: S3's own encryption."
  type        = string
  default     = null
}

variable "heartbeat_timeout" {
  description = "Seconds without a heartbeat after which the group gives an instance up; musterd sends them while a deployment makes progress."
  type        = number
  default     = 300
}

variable "drain_timeout" {
  description = "Seconds that an instance has for leaving."
  type        = number
  default     = 300
}

//! What a resource type is: its schema, its operations, its faults.

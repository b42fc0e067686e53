"""Clusters of machines: what their launcher's file would start, and how a driver joins one."""

"""Replicas of other services' records: one mechanism. How to use it: the library's README."""

from crm_records.replica.columns import Column
from crm_records.replica.ddl import replica_ddl_1
from crm_records.replica.replica import Copy, Replica
from crm_records.replica.told import Told

__all__ = ["Column", "Copy", "Replica", "Told", "replica_ddl_1"]

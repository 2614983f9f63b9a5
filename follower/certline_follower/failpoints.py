"""The names of all places where a test may kill the follower."""

from certline_follower import (
    carried,
    disk,
    enrolment,
    hooks,
    installing,
    introducing,
    joining,
    line_keys,
    rotation,
    steps,
)

FAILPOINTS = (
    *enrolment.FAILPOINTS,
    *joining.FAILPOINTS,
    *introducing.FAILPOINTS,
    *rotation.FAILPOINTS,
    *carried.FAILPOINTS,
    *steps.FAILPOINTS,
    *line_keys.FAILPOINTS,
    *installing.FAILPOINTS,
    *hooks.FAILPOINTS,
    *disk.FAILPOINTS,
)

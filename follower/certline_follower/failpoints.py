"""The names of all places where a test may kill the follower."""

from certline_follower import carried, disk, enrolment, installing, steps

FAILPOINTS = (*enrolment.FAILPOINTS, *carried.FAILPOINTS, *steps.FAILPOINTS, *installing.FAILPOINTS, *disk.FAILPOINTS)

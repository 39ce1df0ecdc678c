"""Business hours."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import Date, Name, ScheduleRef, Text, TimeOfDay, Zone

RuleKind = Literal["weekly", "date", "date_range"]


class ScheduleFields(Fields):
    name: Name = Field(description="Unique in the account.")
    timezone: Zone | None = Field(None, description="IANA zone of its times; null: the account's.")


class ScheduleCreate(ScheduleFields, Owned):
    """Opening hours, made of rules; without any rule it is closed."""


class Schedule(ScheduleFields, OwnedItem):
    """Opening hours, made of rules; without any rule it is closed."""


SchedulePatch = patch_of(ScheduleFields)


class ScheduleRuleFields(Fields):
    schedule_id: ScheduleRef = Field(description="The schedule; it cannot be changed.")
    kind: RuleKind = Field(description="Every week on a day, on one date, or on each day of a range of dates.")
    dow: int | None = Field(None, ge=0, le=6, description="Day of the week: 0 Sunday to 6 Saturday (kind weekly).")
    start_time: TimeOfDay | None = Field(None, description="Opens, HH:MM; null: 00:00.")
    end_time: TimeOfDay | None = Field(
        None, description="Closes, HH:MM; null: 24:00. Earlier than start_time: it closes on the next day."
    )
    start_date: Date | None = Field(None, description="The date, or the first of the range.")
    end_date: Date | None = Field(None, description="The last of the range.")
    is_closed: bool = Field(False, description="Closed at these times instead of open.")
    label: Text = Field("", description="What the rule is for, such as the holiday's name.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        dates = self.start_date is not None or self.end_date is not None
        if self.kind == "weekly":
            if self.dow is None:
                raise ValueError("dow: is missing, since kind is weekly")
            if dates:
                raise ValueError("start_date: goes with date and date_range, not with weekly")
            return self
        if self.dow is not None:
            raise ValueError(f"dow: goes with weekly, not with {self.kind}")
        if self.start_date is None:
            raise ValueError(f"start_date: is missing, since kind is {self.kind}")
        if self.kind == "date":
            if self.end_date is not None:
                raise ValueError("end_date: goes with date_range, not with date")
        elif self.end_date is None:
            raise ValueError("end_date: is missing, since kind is date_range")
        elif self.end_date < self.start_date:
            raise ValueError("end_date: is before start_date")
        return self

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.start_time == "24:00":
            raise ValueError("start_time: must be before 24:00")
        if self.end_time == "00:00" and self.start_time in (None, "00:00"):
            raise ValueError("end_time: is start_time too; 24:00 means the end of the day")
        return self


class ScheduleRuleCreate(ScheduleRuleFields, Owned):
    """One rule of a schedule. Dates beat weekdays."""


class ScheduleRule(ScheduleRuleFields, OwnedItem):
    """One rule of a schedule. Dates beat weekdays."""


ScheduleRulePatch = patch_of(ScheduleRuleFields, "schedule_id")

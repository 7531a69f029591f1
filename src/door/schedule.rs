//! At which times of the week faces open the door.

use jiff::Zoned;
use jiff::civil::{Time, Weekday};

/// Ranges of the week, in the device's local time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule(Vec<Range>);

/// Minutes of the day, `until` excluded, on the days that are set; a range whose end is not after its start ends on the next day.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    /// From Monday.
    days: [bool; 7],
    from: i32,
    until: i32,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES: i32 = 24 * 60;

impl Schedule {
    /// Reads entries like `Mon-Fri 07:00-19:00`, `Sat,Sun 08:00-12:00` or `daily 22:00-06:00`. No entries: always.
    ///
    /// # Errors
    /// A sentence with the entry and what was expected.
    pub fn parse(entries: &[String]) -> Result<Schedule, String> {
        let ranges: Result<_, String> = (entries.iter())
            .map(|entry| {
                range(entry).ok_or_else(|| {
                    format!("\"{entry}\" is no time: expected \"Mon-Fri 07:00-19:00\", \"Sat,Sun 08:00-12:00\" or \"daily 22:00-06:00\"")
                })
            })
            .collect();
        Ok(Schedule(ranges?))
    }

    /// Whether there is any restriction.
    pub fn is_always(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether faces open at this time, by the clock on the wall: a night on which the clocks change is an hour longer or shorter.
    pub fn allows(&self, now: &Zoned) -> bool {
        self.is_always() || self.allows_at(now.weekday(), now.time())
    }

    fn allows_at(&self, weekday: Weekday, time: Time) -> bool {
        let today = usize::from(weekday.to_monday_zero_offset().unsigned_abs()) % 7;
        let yesterday = (today + 6) % 7;
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        self.0.iter().any(|range| match range.from < range.until {
            true => range.days[today] && (range.from..range.until).contains(&minute),
            false => {
                (range.days[today] && minute >= range.from)
                    || (range.days[yesterday] && minute < range.until)
            }
        })
    }
}

fn range(entry: &str) -> Option<Range> {
    let (days, times) = entry.trim().split_once(' ')?;
    let (from, until) = times.trim().split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from < MINUTES && from != until).then_some(())?;
    Some(Range {
        days: weekdays(&days.to_ascii_lowercase())?,
        from,
        until,
    })
}

fn weekdays(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    if text == "daily" {
        return Some([true; 7]);
    }
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // Sat-Mon goes over the end of the week.
        for offset in 0..=(last + 7 - first) % 7 {
            days[(first + offset) % 7] = true;
        }
    }
    Some(days)
}

/// `HH:MM` to minutes; 24:00 is the end of a day.
fn minute(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<i32>().ok())
            .flatten()
    };
    let (hour, minute) = (digits(hour)?, digits(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= MINUTES).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(entries: &[&str]) -> Schedule {
        Schedule::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn at(schedule: &Schedule, when: &str) -> bool {
        schedule.allows(&when.parse().unwrap())
    }

    #[test]
    fn hours_of_a_week() {
        // 2026-11-23 is a Monday.
        let office = schedule(&["Mon-Fri 07:00-19:00", "sat,sun 08:30-12:00"]);
        for (when, open) in [
            ("2026-11-23T06:59:59[UTC]", false),
            ("2026-11-23T07:00[UTC]", true),
            ("2026-11-23T18:59:59[UTC]", true),
            ("2026-11-23T19:00[UTC]", false),
            ("2026-11-28T08:29[UTC]", false),
            ("2026-11-28T08:30[UTC]", true),
            ("2026-11-29T11:59[UTC]", true),
            ("2026-11-29T12:00[UTC]", false),
        ] {
            assert_eq!(at(&office, when), open, "{when}");
        }
    }

    #[test]
    fn a_night_ends_on_the_next_day() {
        let night = schedule(&["Fri 22:00-06:00"]);
        for (when, open) in [
            ("2026-11-27T21:59[UTC]", false),
            ("2026-11-27T22:00[UTC]", true),
            ("2026-11-28T05:59[UTC]", true),
            ("2026-11-28T06:00[UTC]", false),
            ("2026-11-27T05:00[UTC]", false),
        ] {
            assert_eq!(at(&night, when), open, "{when}");
        }
        let all_sunday = schedule(&["Sun 00:00-24:00"]);
        assert!(at(&all_sunday, "2026-11-29T23:59[UTC]"));
        assert!(!at(&all_sunday, "2026-11-30T00:00[UTC]"));
        let weekend = schedule(&["Sat-Mon 10:00-11:00"]);
        for (when, open) in [
            ("2026-11-28T10:00[UTC]", true),
            ("2026-11-30T10:00[UTC]", true),
            ("2026-11-24T10:00[UTC]", false),
        ] {
            assert_eq!(at(&weekend, when), open, "{when}");
        }
    }

    #[test]
    fn no_entries_mean_always() {
        assert!(at(&schedule(&[]), "2026-11-29T03:00[UTC]"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "Mon",
            "Mon 7:00-19:00",
            "Mon 07:00",
            "Mon 07:60-19:00",
            "Mon 24:00-25:00",
            "Mon 07:00-07:00",
            "Monday 07:00-19:00",
            "Mon-Foo 07:00-19:00",
            "07:00-19:00",
        ] {
            let said = Schedule::parse(&[wrong.to_owned()]).unwrap_err();
            assert!(said.contains(wrong) && said.contains("Mon-Fri"), "{said}");
        }
    }
}

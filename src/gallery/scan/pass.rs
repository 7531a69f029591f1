//! One pass over all rows for several probes: who may be among the best.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::kernel::Kernel;
use super::row::QuantizedRow;
use super::search::DamagedPart;
use super::segment::{Damaged, Part};
use super::select::{Candidate, Selection};

/// Rows that one call of a kernel compares: 24 kB, which stay in the first-level cache of small cores while all probes have
/// their turn.
const BLOCK: usize = 128;

/// Rows whose scores are held against the threshold at once.
const GROUP: usize = 16;

/// Rows that a thread takes at a time, about: 3 MB. Much less than its share, so that a slow core takes fewer of them.
const CHUNK: usize = 16_384;

/// Rows that make one more thread worth its while. To spawn and join a thread takes 25 us (Xeon, busy; 3 ms at times), these rows
/// 400 us.
const ROWS_PER_THREAD: usize = 32_768;

/// A probe as int8, and how many people to keep for it.
pub(super) struct Probe {
    pub row: QuantizedRow,
    pub limit: usize,
}

/// Rows of whole people, so that nobody is seen by two threads.
struct Chunk {
    part: usize,
    first_person: u32,
    rows: Range<usize>,
}

/// For each probe its best people by int8 scores. The same ones whatever the kernel and the number of threads.
pub(super) fn pass(
    kernel: Kernel,
    parts: &[Part],
    probes: &[Probe],
    threads: usize,
) -> Result<Vec<Selection>, DamagedPart> {
    let mut chunks = Vec::new();
    for (part, of) in parts.iter().enumerate() {
        cut(part, of, &mut chunks).map_err(|Damaged| DamagedPart { part })?;
    }
    let rows: usize = chunks.iter().map(|chunk| chunk.rows.len()).sum();
    let threads = threads.min(rows / ROWS_PER_THREAD).max(1);
    let next = AtomicUsize::new(0);
    // Chunks are taken in order. A thread that meets damage stops, so all chunks before the first damaged one are taken by
    // somebody, and the first damaged part is the same one whoever finds it.
    let work = || -> Result<Vec<Selection>, DamagedPart> {
        let mut selections: Vec<Selection> =
            probes.iter().map(|p| Selection::new(p.limit)).collect();
        while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            scan(kernel, &parts[chunk.part], chunk, probes, &mut selections)
                .map_err(|Damaged| DamagedPart { part: chunk.part })?;
        }
        Ok(selections)
    };
    if threads == 1 {
        return work();
    }
    let results: Vec<_> = thread::scope(|scope| {
        // Fewer threads where the system gives no more.
        let others: Vec<_> = (1..threads)
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut results = vec![work()];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    let damaged = results.iter().filter_map(|result| result.as_ref().err());
    if let Some(first) = damaged.min_by_key(|damaged| damaged.part) {
        return Err(*first);
    }
    let mut results = results.into_iter().flatten();
    let mut all = results.next().unwrap_or_default();
    for selections in results {
        for (all, selection) in all.iter_mut().zip(selections) {
            all.merge(selection);
        }
    }
    Ok(all)
}

/// Cuts a part into chunks, at the borders of people.
fn cut(part: usize, of: &Part, chunks: &mut Vec<Chunk>) -> Result<(), Damaged> {
    let first_rows = of.segment.first_rows();
    let rows = of.segment.rows().len();
    let fits = first_rows.first() == Some(&0)
        && first_rows.last().is_some_and(|&last| last as usize == rows)
        && of.segment.scales().len() == rows
        && of.segment.originals().len() == rows;
    if !fits {
        return Err(Damaged);
    }
    let people = first_rows.len() - 1;
    let mut person = 0;
    while person < people {
        let start = first_rows[person] as usize;
        let end = first_rows.partition_point(|&row| (row as usize) < start + CHUNK);
        let end = end.clamp(person + 1, people);
        chunks.push(Chunk {
            part,
            first_person: u32::try_from(person).map_err(|_| Damaged)?,
            rows: start..first_rows[end] as usize,
        });
        person = end;
    }
    Ok(())
}

fn scan(
    kernel: Kernel,
    part: &Part,
    chunk: &Chunk,
    probes: &[Probe],
    selections: &mut [Selection],
) -> Result<(), Damaged> {
    let segment = &*part.segment;
    let rows = segment.rows().get(chunk.rows.clone()).ok_or(Damaged)?;
    let scales = segment.scales().get(chunk.rows.clone()).ok_or(Damaged)?;
    let mut dots = [0; BLOCK];
    let mut first = chunk.rows.start;
    for (rows, scales) in rows.chunks(BLOCK).zip(scales.chunks(BLOCK)) {
        segment.verify(first..first + rows.len())?;
        for (probe, selection) in probes.iter().zip(&mut *selections) {
            kernel.dots(rows, &probe.row, &mut dots);
            offer_block(part, chunk, first, &dots, scales, selection);
        }
        first += rows.len();
    }
    for selection in selections {
        selection.close(&part.dead);
    }
    Ok(())
}

/// Offers the rows of a block that matter. Few do, once the best people of the first rows are kept.
fn offer_block(
    part: &Part,
    chunk: &Chunk,
    first: usize,
    dots: &[i32; BLOCK],
    scales: &[f32],
    selection: &mut Selection,
) {
    let first_rows = part.segment.first_rows();
    let mut scores = [f32::NEG_INFINITY; BLOCK];
    for ((score, &dot), &scale) in scores.iter_mut().zip(dots).zip(scales) {
        *score = dot as f32 * scale;
    }
    for (group, scores) in scores.as_chunks::<GROUP>().0.iter().enumerate() {
        let threshold = selection.threshold();
        // Without a way out in between, so that it becomes vector instructions.
        if !scores
            .iter()
            .fold(false, |any, &score| any | (score > threshold))
        {
            continue;
        }
        for (place, &score) in scores.iter().enumerate() {
            if score > selection.threshold() {
                let row = first + group * GROUP + place;
                let from = selection.open_person().unwrap_or(chunk.first_person);
                let candidate = Candidate {
                    score,
                    part: chunk.part as u32,
                    person: owner(first_rows, from, row),
                };
                selection.offer(candidate, &part.dead);
            }
        }
    }
}

/// The person who owns `row`, not before `from`. Takes longer steps the farther away it is.
fn owner(first_rows: &[u32], from: u32, row: usize) -> u32 {
    let starts_before = |&first: &u32| first as usize <= row;
    let mut low = from as usize;
    let mut step = 1;
    while first_rows.get(low + step).is_some_and(starts_before) {
        low += step;
        step *= 2;
    }
    let high = first_rows.len().min(low + step);
    let between = first_rows.get(low + 1..high).unwrap_or_default();
    (low + between.partition_point(starts_before)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_found_from_everywhere_before_it() {
        // Person 2 has no rows.
        let first_rows = [0, 3, 4, 4, 9, 10, 11, 12, 13, 14, 20];
        for row in 0..20 {
            let expected = (0..10)
                .find(|&p| (first_rows[p] as usize..first_rows[p + 1] as usize).contains(&row))
                .unwrap() as u32;
            for from in 0..=expected {
                assert_eq!(owner(&first_rows, from, row), expected, "{row} from {from}");
            }
        }
    }
}

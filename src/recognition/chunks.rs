//! The chunks of PNG and WebP files, which have a length and a name each.

/// Name and contents of the chunk at the beginning, and what follows it.
type Chunk<'a> = ([u8; 4], &'a [u8], &'a [u8]);

/// What the first chunk with `name` holds. Some writers put metadata behind the picture, where decoders do not look.
pub fn png<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    first(file.get(8..)?, &[name], png_chunk)
}

/// The same of a WebP.
pub fn webp<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    first(file.get(12..)?, &[name], webp_chunk)
}

/// Whether the picture of a WebP is all there; of an animation, its first. Decoders fill in what is missing.
pub fn webp_is_whole(file: &[u8]) -> bool {
    let pictures = [b"VP8 ", b"VP8L", b"ANMF"];
    file.get(12..)
        .is_some_and(|chunks| first(chunks, &pictures, webp_chunk).is_some())
}

fn first<'a>(
    file: &'a [u8],
    names: &[&[u8; 4]],
    next: fn(&'a [u8]) -> Option<Chunk<'a>>,
) -> Option<&'a [u8]> {
    let mut rest = file;
    loop {
        let (found, contents, behind) = next(rest)?;
        if names.contains(&&found) {
            return Some(contents);
        }
        rest = behind;
    }
}

/// Length, name, contents, checksum.
fn png_chunk(file: &[u8]) -> Option<Chunk<'_>> {
    let (length, rest) = file.split_first_chunk()?;
    let (name, rest) = rest.split_first_chunk()?;
    let (contents, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((*name, contents, rest.get(4..)?))
}

/// Name, length, contents, a byte more where their length is odd.
fn webp_chunk(file: &[u8]) -> Option<Chunk<'_>> {
    let (name, rest) = file.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (contents, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let behind = rest.get(contents.len() % 2..).unwrap_or_default();
    Some((*name, contents, behind))
}

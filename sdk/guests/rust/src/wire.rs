//! The few lines of Protobuf that a guest needs. Writing is canonical: fields ascending, shortest numbers, defaults left
//! out.

/// Writes messages into a buffer that is large enough for every result that the host takes.
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut [u8]) -> Self {
        Writer { out, len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    fn put(&mut self, b: &[u8]) {
        self.out[self.len..self.len + b.len()].copy_from_slice(b);
        self.len += b.len();
    }

    fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.put(&[v as u8 | 0x80]);
            v >>= 7;
        }
        self.put(&[v as u8]);
    }

    /// A field of a number; zero is left out.
    pub fn number(&mut self, field: u64, v: u64) {
        if v != 0 {
            self.varint(field << 3);
            self.varint(v);
        }
    }

    /// A field of bytes or text that is put together from parts; an empty one is left out.
    pub fn bytes(&mut self, field: u64, parts: &[&[u8]]) {
        let size: usize = parts.iter().map(|p| p.len()).sum();
        if size > 0 {
            self.varint(field << 3 | 2);
            self.varint(size as u64);
            for p in parts {
                self.put(p);
            }
        }
    }

    /// A field of a message, written by a function; also an empty one.
    pub fn message(&mut self, field: u64, write: impl FnOnce(&mut Writer)) {
        self.varint(field << 3 | 2);
        let at = self.len;
        write(self);
        // The size stands before what it counts: move that behind it.
        let size = self.len - at;
        let mut digits = 1;
        while size >> (7 * digits) > 0 {
            digits += 1;
        }
        self.out.copy_within(at..self.len, at + digits);
        self.len = at;
        self.varint(size as u64);
        self.len += size;
    }
}

/// One field of a message.
pub struct Field<'a> {
    pub number: u64,
    pub value: u64,
    pub bytes: &'a [u8],
}

/// The fields of a message, in the order in which they stand. It ends early where the bytes are no Protobuf; the host
/// does not send such.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut v = 0;
        for shift in (0..64).step_by(7) {
            let (&b, rest) = self.0.split_first()?;
            self.0 = rest;
            v |= ((b & 0x7f) as u64) << shift;
            if b < 0x80 {
                return Some(v);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let mut f = Field { number: tag >> 3, value: 0, bytes: &[] };
        let size = match tag & 7 {
            0 => {
                f.value = self.varint()?;
                return Some(f);
            }
            1 => 8,
            2 => self.varint()? as usize,
            5 => 4,
            _ => return None,
        };
        f.bytes = self.0.get(..size)?;
        self.0 = &self.0[size..];
        Some(f)
    }
}

/// The last field of a number, empty when there is none.
pub fn get(message: &[u8], number: u64) -> Field {
    Fields(message)
        .filter(|f| f.number == number)
        .last()
        .unwrap_or(Field { number, value: 0, bytes: &[] })
}

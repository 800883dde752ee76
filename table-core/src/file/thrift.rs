//! Strict parser of Thrift's compact protocol. It builds nothing, except for the few numbers that callers ask
//! for.
//!
//! The decoder of the Parquet library trusts its input: it ignores the types of fields, allocates memory for
//! as many elements as a list announces, and recurses as deep as a schema nests. Therefore all its input
//! passes through this parser first. The library reads what is accepted here in the same way: field ids have
//! 16 bits and ascend, as every writer writes them; a field with a known id has the type of its definition;
//! and a list contains as many elements as it announces.
//!
//! Thrift's own readers skip a field whose type differs from its definition, and some writers use such fields
//! for their own purposes ([`Thrift::is_odd`]). The library is given such input without these fields
//! ([`without_odd_fields`]).

use super::error::FileError;

/// Maximum nesting of structures that are not in Parquet's definition; Parquet's own have six levels.
const UNKNOWN_DEPTH_MAX: usize = 16;

/// Type of a field in Parquet's definition.
#[derive(Debug)]
pub(super) enum ThriftKind {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List(&'static ThriftKind),
    Struct(&'static ThriftShape),
}

/// Fields of a structure by their ids, in ascending order.
#[derive(Debug)]
pub(super) struct ThriftShape {
    pub(super) fields: &'static [(i16, ThriftKind)],
    /// Minimum encoded size of the structure, in bytes, if all required fields are present.
    pub(super) bytes_min: usize,
}

/// Type codes of the compact protocol.
pub(super) mod code {
    pub(in super::super) const TRUE: u8 = 1;
    pub(in super::super) const FALSE: u8 = 2;
    pub(in super::super) const BYTE: u8 = 3;
    pub(in super::super) const I16: u8 = 4;
    pub(in super::super) const I32: u8 = 5;
    pub(in super::super) const I64: u8 = 6;
    pub(in super::super) const DOUBLE: u8 = 7;
    pub(in super::super) const BINARY: u8 = 8;
    pub(in super::super) const LIST: u8 = 9;
    pub(in super::super) const STRUCT: u8 = 12;
}

/// Position in input of the compact protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thrift<'a> {
    rest: &'a [u8],
    is_odd: bool,
}

impl ThriftKind {
    /// Returns `true` if a field of this type may have the given type code.
    fn is_coded(&self, field_code: u8) -> bool {
        match self {
            ThriftKind::Bool => matches!(field_code, code::TRUE | code::FALSE),
            ThriftKind::Byte => field_code == code::BYTE,
            ThriftKind::I16 => field_code == code::I16,
            ThriftKind::I32 => field_code == code::I32,
            ThriftKind::I64 => field_code == code::I64,
            ThriftKind::Double => field_code == code::DOUBLE,
            ThriftKind::Binary => field_code == code::BINARY,
            ThriftKind::List(_) => field_code == code::LIST,
            ThriftKind::Struct(_) => field_code == code::STRUCT,
        }
    }

    /// Returns the minimum encoded size of a value, in bytes.
    fn bytes_min(&self) -> usize {
        match self {
            ThriftKind::Struct(shape) => shape.bytes_min,
            ThriftKind::Double => 8,
            _ => 1,
        }
    }
}

impl ThriftShape {
    fn kind(&self, id: i16) -> Option<&'static ThriftKind> {
        let place = self.fields.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        self.fields.get(place).map(|(_, kind)| kind)
    }
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Thrift<'a> {
        Thrift { rest: bytes, is_odd: false }
    }

    /// Returns `true` if a field had another type than in its definition.
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd
    }

    /// Returns the number of bytes left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Returns the id and type code of the next field; `None` at the end of the structure. `last` is the id
    /// of the previous field and is replaced by the new one.
    pub(super) fn field(&mut self, last: &mut i16) -> Result<Option<(i16, u8)>, FileError> {
        let head = self.byte()?;
        let (step, field_code) = (head >> 4, head & 0x0f);
        if field_code == 0 {
            return if step == 0 { Ok(None) } else { Err(broken()) };
        }
        let id = if step == 0 {
            // The long form is allowed only for ids that the short form cannot express.
            let id = i16::try_from(self.zigzag()?).map_err(|_| broken())?;
            if i32::from(id) - i32::from(*last) <= 15 {
                return Err(broken());
            }
            id
        } else {
            last.checked_add(i16::from(step)).ok_or_else(broken)?
        };
        *last = id;
        Ok(Some((id, field_code)))
    }

    /// Skips a structure of a known shape.
    pub(super) fn structure(&mut self, shape: &'static ThriftShape) -> Result<(), FileError> {
        let mut last = 0;
        while let Some((id, field_code)) = self.field(&mut last)? {
            self.field_of(shape, id, field_code)?;
        }
        Ok(())
    }

    /// Skips the value of a field in a structure of a known shape.
    pub(super) fn field_of(
        &mut self,
        shape: &'static ThriftShape,
        id: i16,
        field_code: u8,
    ) -> Result<(), FileError> {
        match shape.kind(id) {
            None => self.unknown(field_code, 0),
            // The value of a boolean is part of the type code.
            Some(ThriftKind::Bool) if ThriftKind::Bool.is_coded(field_code) => Ok(()),
            Some(kind) if kind.is_coded(field_code) => self.value(kind),
            Some(_) => {
                self.is_odd = true;
                self.unknown(field_code, 0)
            }
        }
    }

    fn value(&mut self, kind: &'static ThriftKind) -> Result<(), FileError> {
        match kind {
            ThriftKind::Bool => match self.byte()? {
                0..=2 => Ok(()),
                _ => Err(broken()),
            },
            ThriftKind::Byte => self.byte().map(drop),
            ThriftKind::I16 => i16::try_from(self.zigzag()?).map(drop).map_err(|_| broken()),
            ThriftKind::I32 => self.i32().map(drop),
            ThriftKind::I64 => self.varint().map(drop),
            ThriftKind::Double => self.advance(8).map(drop),
            ThriftKind::Binary => self.binary().map(drop),
            ThriftKind::List(element) => {
                let count = self.list(element)?;
                (0..count).try_for_each(|_| self.value(element))
            }
            ThriftKind::Struct(shape) => self.structure(shape),
        }
    }

    /// Reads the head of a list with elements of this type and returns their number, which is no more than
    /// the remaining bytes can contain.
    pub(super) fn list(&mut self, element: &'static ThriftKind) -> Result<usize, FileError> {
        let (element_code, count) = self.list_head()?;
        if count == 0 {
            return Ok(0);
        }
        let is_possible = count.checked_mul(element.bytes_min()).is_some_and(|bytes| bytes <= self.left());
        if element.is_coded(element_code) && is_possible { Ok(count) } else { Err(broken()) }
    }

    fn list_head(&mut self) -> Result<(u8, usize), FileError> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        let count = i32::try_from(count).ok().and_then(|count| usize::try_from(count).ok());
        Ok((head & 0x0f, count.ok_or_else(broken)?))
    }

    /// Skips the value of a field that is not in Parquet's definition.
    fn unknown(&mut self, field_code: u8, depth: usize) -> Result<(), FileError> {
        if depth > UNKNOWN_DEPTH_MAX {
            return Err(broken());
        }
        match field_code {
            code::TRUE | code::FALSE => Ok(()),
            code::BYTE => self.byte().map(drop),
            code::I16..=code::I64 => self.varint().map(drop),
            code::DOUBLE => self.advance(8).map(drop),
            code::BINARY => self.binary().map(drop),
            code::LIST => {
                let (element_code, count) = self.list_head()?;
                // The library does not consume the bytes of boolean elements here.
                if count > 0 && matches!(element_code, code::TRUE | code::FALSE) {
                    return Err(broken());
                }
                (0..count).try_for_each(|_| self.unknown(element_code, depth + 1))
            }
            code::STRUCT => {
                let mut last = 0;
                while let Some((_, field_code)) = self.field(&mut last)? {
                    self.unknown(field_code, depth + 1)?;
                }
                Ok(())
            }
            // Parquet has no sets or maps, and the library reads none.
            _ => Err(broken()),
        }
    }

    /// Reads a 32-bit integer.
    pub(super) fn i32(&mut self) -> Result<i32, FileError> {
        i32::try_from(self.zigzag()?).map_err(|_| broken())
    }

    fn zigzag(&mut self) -> Result<i64, FileError> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// Reads a binary value or string.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], FileError> {
        let length = self.varint()?;
        self.advance(usize::try_from(length).map_err(|_| broken())?)
    }

    fn advance(&mut self, length: usize) -> Result<&'a [u8], FileError> {
        let (skipped, rest) = self.rest.split_at_checked(length).ok_or_else(broken)?;
        self.rest = rest;
        Ok(skipped)
    }

    fn byte(&mut self) -> Result<u8, FileError> {
        let (first, rest) = self.rest.split_first().ok_or_else(broken)?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, FileError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken())
    }
}

/// Returns the error for bytes that do not match Parquet's definition.
pub(super) fn broken() -> FileError {
    FileError::malformed("the metadata of the file is damaged: it does not conform to the Parquet format")
}

/// Copies a structure of a known shape without the fields whose type differs from their definition.
pub(super) fn without_odd_fields(bytes: &[u8], shape: &'static ThriftShape) -> Result<Vec<u8>, FileError> {
    let mut out = Vec::with_capacity(bytes.len());
    Thrift::new(bytes).copy(shape, &mut out)?;
    Ok(out)
}

impl Thrift<'_> {
    fn copy(&mut self, shape: &'static ThriftShape, out: &mut Vec<u8>) -> Result<(), FileError> {
        let (mut last, mut last_copied) = (0, 0);
        while let Some((id, field_code)) = self.field(&mut last)? {
            let kind = shape.kind(id);
            if kind.is_some_and(|kind| !kind.is_coded(field_code)) {
                self.unknown(field_code, 0)?;
                continue;
            }
            push_head(out, id, last_copied, field_code);
            last_copied = id;
            match kind {
                Some(ThriftKind::Struct(shape)) => self.copy(shape, out)?,
                Some(ThriftKind::List(element @ ThriftKind::Struct(shape))) => {
                    let before = *self;
                    let count = self.list(element)?;
                    out.extend_from_slice(before.until(self));
                    (0..count).try_for_each(|_| self.copy(shape, out))?;
                }
                _ => {
                    let before = *self;
                    self.field_of(shape, id, field_code)?;
                    out.extend_from_slice(before.until(self));
                }
            }
        }
        out.push(0);
        Ok(())
    }

    /// Returns the bytes from here to a later position.
    fn until(&self, later: &Thrift<'_>) -> &[u8] {
        self.rest.get(..self.left().saturating_sub(later.left())).unwrap_or_default()
    }
}

/// Writes the head of a field that follows the field with the id `last`.
fn push_head(out: &mut Vec<u8>, id: i16, last: i16, field_code: u8) {
    if let Ok(step @ 1..=15) = u8::try_from(i32::from(id) - i32::from(last)) {
        out.push(step << 4 | field_code);
    } else {
        out.push(field_code);
        push_zigzag(out, i32::from(id));
    }
}

/// Writes a 32-bit integer in zigzag encoding.
pub(super) fn push_zigzag(out: &mut Vec<u8>, number: i32) {
    let mut rest = ((number << 1) ^ (number >> 31)).cast_unsigned();
    while rest > 0x7f {
        out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap_or(0));
}

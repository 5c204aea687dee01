//! One packet in the buffer it was received into: it may grow (SRTP adds a tag) and shrink in place.

/// The buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not fit its buffer")]
pub struct NoRoom;

/// A packet and the room behind it.
#[derive(Debug)]
pub struct Datagram<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> Datagram<'a> {
    /// The first `length` bytes of a buffer; all of it when it is shorter.
    #[must_use]
    pub fn new(buffer: &'a mut [u8], length: usize) -> Datagram<'a> {
        let length = length.min(buffer.len());
        Datagram { buffer, length }
    }

    /// The packet.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    /// The packet from that byte on; nothing when it is shorter.
    #[must_use]
    pub fn from_mut(&mut self, start: usize) -> &mut [u8] {
        self.buffer.get_mut(start..self.length).unwrap_or_default()
    }

    /// Shortens it.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing was appended.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let end = self.length.saturating_add(bytes.len());
        let room = self.buffer.get_mut(self.length..end).ok_or(NoRoom)?;
        room.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

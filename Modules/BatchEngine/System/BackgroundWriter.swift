internal import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes text to a descriptor whose reader no caller waits for.
///
/// A reader may stop without going: a log shipper that hangs, a terminal after Ctrl-S. What does not
/// fit then is written, in order, by a thread of its own once somebody reads again; what is more than
/// a maximum is dropped, and how much is said in its place. What fails is dropped: there is nobody to
/// report it to.
package final class BackgroundWriter: Sendable {
    private struct State {
        var waiting: [UInt8] = []
        /// Texts that were dropped since the last that waits.
        var dropped = 0
        var isDraining = false

        mutating func noteDropped() {
            guard dropped > 0 else { return }
            waiting += Array("[\(dropped) messages were dropped here: nobody read them]\n".utf8)
            dropped = 0
        }
    }

    /// The program's standard error.
    package static let standardError = BackgroundWriter(STDERR_FILENO)

    /// What is ready for writing takes so much without waiting (POSIX's least size of a pipe).
    private static let pieceByteCount = 512

    private let descriptor: Int32
    private let maximumByteCount: Int
    private let state = Locked(State())

    /// Creates a writer.
    ///
    /// - Parameters:
    ///   - descriptor: what is written to, as long as the program runs.
    ///   - maximumByteCount: how many bytes wait for the reader at most.
    package init(_ descriptor: Int32, maximumByteCount: Int = 1 << 20) {
        self.descriptor = descriptor
        self.maximumByteCount = maximumByteCount
    }

    /// Writes a text in one piece, now or as soon as its turn has come.
    package func write(_ text: String) {
        let bytes = Array(text.utf8)
        state.withLock { state in
            let written = state.isDraining ? 0 : writeWhatFits(bytes)
            guard written < bytes.count else { return }
            // What was begun is not cut.
            guard written > 0 || state.waiting.count + bytes.count <= maximumByteCount else {
                return state.dropped += 1
            }
            state.noteDropped()
            state.waiting += bytes[written...]
            if state.isDraining { return }
            // Without a thread it waits for the next text.
            let hasThread: Void? = try? SystemThread.start(name: "output") { self.drain() }
            state.isDraining = hasThread != nil
        }
    }

    /// Blocks until all is written, for a second at most: for the end of a program.
    package func flush() {
        for _ in 0..<100 where state.withLock({ $0.isDraining }) { poll(nil, 0, 10) }
    }

    /// - Returns: how many bytes need no further writing: all of them after a failure.
    private func writeWhatFits(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            while !rest.isEmpty, retryingInterrupted({ Int(poll(&room, 1, 0)) }) > 0 {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.pieceByteCount))
                if writeAll(piece, writeWaiting) != nil { return bytes.count }
                rest = rest.dropFirst(piece.count)
            }
            return bytes.count - rest.count
        }
    }

    private func drain() {
        while true {
            let next: [UInt8] = state.withLock { state in
                if state.waiting.isEmpty { state.noteDropped() }
                state.isDraining = !state.waiting.isEmpty
                defer { state.waiting = [] }
                return state.waiting
            }
            if next.isEmpty { return }
            _ = next.withUnsafeBytes { writeAll($0, writeWaiting) }
        }
    }

    /// Writes as much as the descriptor takes, waiting until it takes some.
    private func writeWaiting(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        systemWriteWaiting(descriptor, bytes, count)
    }
}

/// Writes as much as a descriptor takes, waiting until it takes some, also where another program that
/// shares it has made it so that it does not wait itself.
func systemWriteWaiting(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    while true {
        let written = write(descriptor, bytes, count)
        guard written < 0, [EAGAIN, EWOULDBLOCK].contains(currentErrno()) else { return written }
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&room, 1, -1)
    }
}

/// Which segments a log has: the file `extent` of its directory.
///
/// It is replaced before a new segment takes records and before old ones are removed, so that a
/// segment that is gone without having been removed is noticed, the newest one as well.
struct LogExtent: Hashable, Sendable {
    static let name = "extent"
    /// The versions and their lengths: version 2 has ``lostThrough``, and is written where that is.
    private static let byteCounts: [UInt32: Int] = [1: 48, 2: 56]
    private static let magic = Array("DSTRMEXT".utf8)

    /// Segments with lower numbers were removed.
    var oldest: UInt64
    /// The segment made last, 0 before the first one; all are removed when it is below `oldest`.
    var newest: UInt64
    /// So many bytes of the newest segment count at least: all of them once the log was closed.
    var newestByteCount: Int
    /// Segments up to this number were quarantined, not cleaned: whoever relies on them has lost them.
    var lostThrough: UInt64 = 0

    /// A log without a segment.
    static let empty = LogExtent(oldest: 1, newest: 0, newestByteCount: 0)

    var bytes: [UInt8] {
        let version: UInt32 = lostThrough == 0 ? 1 : 2
        var bytes = Self.magic
        bytes.appendNumber(version)
        bytes.appendNumber(UInt32(Self.byteCounts[version] ?? 0))
        bytes.appendNumber(oldest)
        bytes.appendNumber(newest)
        bytes.appendNumber(UInt64(newestByteCount))
        if version == 2 { bytes.appendNumber(lostThrough) }
        bytes.appendNumber(UInt32(0))
        bytes.appendNumber(Checksum.crc32c(bytes))
        return bytes
    }

    /// Reads a directory's; nil: it has none, as before version 2 or before its first opening.
    ///
    /// - Throws: ``LogError`` `.damaged` or `.unsupported`; ``StorageError``.
    static func read(in directory: String, _ medium: some StorageMedium) throws -> LogExtent? {
        let path = directory + "/" + name
        let bytes: [UInt8]
        do { bytes = try medium.readAll(path, maximum: 1 << 12) } catch let error as StorageError {
            switch error.code {
            case .notFound: return nil
            case .tooLarge: throw broken(path, error.message)
            default: throw error
            }
        }
        guard bytes.count >= 20, bytes.starts(with: magic) else {
            throw broken(path, "\(bytes.count) bytes that begin otherwise")
        }
        return try bytes.withUnsafeBytes { buffer in
            let checked = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count - 4)])
            guard
                buffer.number(at: buffer.count - 4, UInt32.self) == Checksum.crc32c(checked)
            else { throw broken(path, "bytes with another checksum") }
            let found = buffer.number(at: 8, UInt32.self)
            guard let byteCount = byteCounts[found] else {
                throw LogError(
                    .unsupported,
                    "\(path): written in format version \(found); this program knows versions 1"
                        + " and 2")
            }
            let (oldest, newest) = (
                buffer.number(at: 16, UInt64.self), buffer.number(at: 24, UInt64.self)
            )
            guard buffer.count == byteCount, oldest > 0, oldest < 1 << 62, newest < 1 << 62,
                let count = Int(exactly: buffer.number(at: 32, UInt64.self))
            else { throw broken(path, "impossible numbers") }
            let lost = found == 1 ? 0 : buffer.number(at: 40, UInt64.self)
            guard lost < oldest else { throw broken(path, "impossible numbers") }
            return LogExtent(
                oldest: oldest, newest: newest, newestByteCount: count, lostThrough: lost)
        }
    }

    private static func broken(_ path: String, _ found: String) -> LogError {
        .damaged(path, at: 0, expected: "which segments the log has", found: found)
    }
}

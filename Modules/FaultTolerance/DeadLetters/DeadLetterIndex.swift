/// The file that says which dead letters were written and which replayed, a line each: a letter that
/// is gone without having been replayed is missed.
///
/// Two programs may add lines, one that writes and one that replays. The last line of a letter counts.
struct DeadLetterIndex: Sendable {
    /// What became of a letter.
    enum Event: String {
        case written, replayed
    }

    let path: String

    /// Replaces the lines of letters that were replayed: what is left is as long as what waits.
    ///
    /// A crash leaves the lines of before or those of after. A line that somebody adds meanwhile may
    /// be lost, and that letter would not be missed.
    ///
    /// - Parameter isSettled: whether a letter was replayed though the line for it is missing.
    func compact(_ medium: some StorageMedium, isSettled: (String) -> Bool) throws {
        guard let count = try medium.byteCount(of: path), count > 0 else { return }
        let lines = try waiting(medium).filter { !isSettled($0) }.sorted()
            .flatMap { Self.line(.written, $0) }
        if lines.count < count { try medium.replaceFile(path, with: lines) }
    }

    private static func line(_ event: Event, _ name: String) -> [UInt8] {
        let text = Array("\(event.rawValue) \(name)".utf8)
        return text + Array(" \(checksum(text))\n".utf8)
    }

    /// Adds a line, durably.
    func note(_ event: Event, _ name: String, _ medium: some StorageMedium) throws {
        let file = try medium.open(path, .append)
        let count = try file.byteCount()
        var bytes: [UInt8] = []
        // A crash may have left part of a line.
        if count > 0, try file.read(at: count - 1, count: 1) != [UInt8(ascii: "\n")] {
            bytes.append(UInt8(ascii: "\n"))
        }
        bytes += Self.line(event, name)
        try file.append(bytes)
        try file.sync()
        if count == 0 { try medium.syncDirectory(parentDirectory(of: path)) }
    }

    /// The names of letters that were written and not replayed since.
    ///
    /// Lines that are no lines say nothing: a crash leaves such.
    func waiting(_ medium: some StorageMedium) throws -> Set<String> {
        let bytes: [UInt8]
        do { bytes = try medium.readAll(path) } catch let error as StorageError
            where error.code == .notFound
        {
            return []
        }
        var waiting: Set<String> = []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = line.split(separator: UInt8(ascii: " ")).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard parts.count == 3, let event = Event(rawValue: parts[0]),
                parts[2] == Self.checksum(Array("\(parts[0]) \(parts[1])".utf8))
            else { continue }
            switch event {
            case .written: waiting.insert(parts[1])
            case .replayed: waiting.remove(parts[1])
            }
        }
        return waiting
    }

    private static func checksum(_ bytes: [UInt8]) -> String {
        Checksum.crc32c(bytes).padded(to: 8, radix: 16)
    }
}

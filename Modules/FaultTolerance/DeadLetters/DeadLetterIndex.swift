internal import BatchEngine
internal import DStreamCore

/// The file that says which dead letters were written and which replayed, a line each: a letter that
/// is gone without having been replayed is missed.
///
/// It has a number of its own and the newest batch that ever had a letter, so that a checkpoint can
/// tell whether this is the index it knows, with all that was in it.
///
/// Two programs may add lines, one that writes and one that replays. The last line of a letter counts.
struct DeadLetterIndex: Sendable {
    /// What a line says.
    enum Event: String {
        /// What became of a letter, by its name.
        case written, replayed
        /// The number of the index.
        case index
        /// A batch that had a letter; the line stays when somebody takes out those of the letter.
        case newest
        /// Letters that a checkpoint knows of and this index does not, by their mark.
        case lost
    }

    /// What the lines say together.
    struct Contents {
        /// Letters that were written and not replayed since.
        var waiting: Set<String> = []
        /// nil: an earlier version wrote the index, or there is none.
        var number: String?
        /// The newest batch that ever had a letter, in milliseconds.
        var newest = Int64.min
        var lost: Set<String> = []

        /// What a checkpoint keeps of the letters that wait here; nil: none waits.
        var mark: String? { waiting.isEmpty ? nil : number.map { "\($0):\(newest)" } }

        /// What a checkpoint keeps of those that are lost: their mark, and that it is noted here.
        var lostMarks: Set<String> {
            Set(lost.compactMap { mark in number.map { "\(mark):\($0)" } })
        }

        /// The mark to note as lost; nil: its letters are known here, or somebody gave them up.
        func missing(_ mark: String) -> String? {
            let parts = mark.split(separator: ":").map(String.init)
            guard parts.count >= 2, let time = Int64(parts[1]) else { return nil }
            let isKnown = parts[0] == number && newest >= time
            let isNoted = parts.count > 2 && parts[2] == number
            let mark = "\(parts[0]):\(parts[1])"
            return isKnown || isNoted || lost.contains(mark) ? nil : mark
        }
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
        let contents = try read(medium)
        var lines = Self.line(.index, contents.number ?? Self.newNumber())
        if contents.newest > .min { lines += Self.line(.newest, "\(contents.newest)") }
        lines += contents.lost.sorted().flatMap { Self.line(.lost, $0) }
        lines += contents.waiting.filter { !isSettled($0) }.sorted()
            .flatMap { Self.line(.written, $0) }
        if lines.count < count || contents.number == nil {
            try medium.replaceFile(path, with: lines)
        }
    }

    private static func newNumber() -> String {
        UInt32.random(in: .min ... .max).padded(to: 8, radix: 16)
    }

    private static func line(_ event: Event, _ name: String) -> [UInt8] {
        let text = Array("\(event.rawValue) \(name)".utf8)
        return text + Array(" \(checksum(text))\n".utf8)
    }

    /// Adds a line, durably.
    ///
    /// - Parameter batch: the batch of a letter that was written.
    func note(
        _ event: Event, _ name: String, of batch: BatchTime? = nil, _ medium: some StorageMedium
    ) throws {
        let file = try medium.open(path, .append)
        let count = try file.byteCount()
        var bytes: [UInt8] = []
        // A crash may have left part of a line.
        if count > 0, try file.read(at: count - 1, count: 1) != [UInt8(ascii: "\n")] {
            bytes.append(UInt8(ascii: "\n"))
        }
        if count == 0 { bytes += Self.line(.index, Self.newNumber()) }
        if let batch { bytes += Self.line(.newest, "\(batch.milliseconds)") }
        bytes += Self.line(event, name)
        try file.append(bytes)
        try file.sync()
        if count == 0 { try medium.syncDirectory(parentDirectory(of: path)) }
    }

    /// Reads all lines; there are none where there is no file.
    ///
    /// Lines that are no lines say nothing: a crash leaves such.
    func read(_ medium: some StorageMedium) throws -> Contents {
        var contents = Contents()
        let bytes: [UInt8]
        do { bytes = try medium.readAll(path) } catch let error as StorageError
            where error.code == .notFound
        {
            return contents
        }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = line.split(separator: UInt8(ascii: " ")).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard parts.count == 3, let event = Event(rawValue: parts[0]),
                parts[2] == Self.checksum(Array("\(parts[0]) \(parts[1])".utf8))
            else { continue }
            switch event {
            case .written: contents.waiting.insert(parts[1])
            case .replayed: contents.waiting.remove(parts[1])
            case .index: contents.number = parts[1]
            case .newest:
                contents.newest = max(contents.newest, Int64(parts[1]) ?? .min)
            case .lost: contents.lost.insert(parts[1])
            }
        }
        return contents
    }

    private static func checksum(_ bytes: [UInt8]) -> String {
        Checksum.crc32c(bytes).padded(to: 8, radix: 16)
    }
}

import BatchEngine

/// Sums what the output operations saw, and lets the driver wait for it.
final class Tally: Sendable {
    struct Sums {
        var checksum: UInt64 = 0
        var words = 0
        var rows = 0
        var batches = 0
        var lastOutput = Duration.zero

        mutating func add(_ rows: some Collection<(String, Int)>) {
            self.rows += rows.count
            for (word, count) in rows {
                checksum &+= UInt64(CRC32.of(word)) &* UInt64(bitPattern: Int64(count))
                words += count
            }
        }
    }

    private let progress = Progress(Sums())

    var sums: Sums { progress.seen }

    /// Adds the rows of one partition.
    func add(_ partition: PartitionChunks<(String, Int)>) {
        var added = Sums()
        for chunk in partition { added.add(chunk) }
        add(added)
    }

    /// Adds rows.
    func add(_ rows: [(String, Int)]) {
        var added = Sums()
        added.add(rows)
        add(added)
    }

    private func add(_ added: Sums) {
        let now = SystemTime.wall()
        progress.change { sums in
            sums.checksum &+= added.checksum
            sums.words += added.words
            sums.rows += added.rows
            if added.words > 0 { sums.lastOutput = now }
        }
    }

    /// Notes that a batch with content has been put out.
    func endBatch() { progress.change { $0.batches += 1 } }

    /// Waits until so many batches and words were seen.
    func reached(batches: Int = 0, words: Int = 0) async {
        await progress.reached { $0.batches >= batches && $0.words >= words }
    }

    /// Starts again from nothing.
    func reset() { progress.change { $0 = Sums() } }
}

/// The checksum of zlib and of the IEEE 802.3 standard, polynomial 0xEDB88320.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in
            value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
        }
    }

    static func of(_ text: String) -> UInt32 {
        var text = text
        return text.withUTF8 { bytes in
            table.withUnsafeBufferPointer { table in
                var value: UInt32 = 0xFFFF_FFFF
                for byte in bytes {
                    value = table[Int((value ^ UInt32(byte)) & 0xFF)] ^ (value >> 8)
                }
                return value ^ 0xFFFF_FFFF
            }
        }
    }
}

internal import BatchEngine

/// One file to be read by one task.
final class FileSlice: InputPart {
    let path: String
    var name: String { path }
    /// How long the file was when it was chosen.
    let byteCount: Int

    init(path: String, byteCount: Int) {
        self.path = path
        self.byteCount = byteCount
    }

    /// About how many lines there are: enough for an engine to tell small files from large ones.
    var count: Int { min(1 + byteCount / 32, 1 << 40) }

    /// The path and the length: the task reads the file where it runs.
    func encoded() throws -> EncodedValues {
        var writer = ByteWriter()
        writer.writeString(path)
        writer.writeVarint(UInt64(byteCount))
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }

    /// The file of a task's input; nil when it is none.
    static func slice(_ input: PartitionData) throws -> FileSlice? {
        switch input {
        case .values(let values): return values as? FileSlice
        case .encoded(let encoded):
            return try encoded.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let path = try reader.readString()
                let count = Int(clamping: try reader.readVarint())
                try reader.requireEnd(of: "file")
                return FileSlice(path: path, byteCount: count)
            }
        default: return nil
        }
    }
}

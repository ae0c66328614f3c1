internal import BatchEngine

/// One file to be read by one task.
final class FileSlice: InputPart {
    let path: String
    var name: String { path }
    /// How long the file was when it was chosen.
    let byteCount: Int
    /// Its number in its file system; 0: whatever has the path is read.
    private let inode: UInt64
    /// When it was made, as a hash; 0: not known.
    private let birth: UInt32

    convenience init(_ file: ChosenFile) {
        self.init(
            path: file.path, byteCount: file.byteCount, inode: file.inode, birth: file.birth)
    }

    private init(path: String, byteCount: Int, inode: UInt64, birth: UInt32) {
        self.path = path
        self.byteCount = byteCount
        self.inode = inode
        self.birth = birth
    }

    /// About how many lines there are: enough for an engine to tell small files from large ones.
    var count: Int { min(1 + byteCount / 32, 1 << 40) }

    /// How much of it is read: each task, output and run reads the same, though it may grow.
    var end: Int { inode == 0 ? .max : byteCount }

    private func isOther(_ status: FileSystem.Status) -> Bool {
        inode != 0
            && (status.inode != inode
                || birth != 0 && status.birthHash != 0 && status.birthHash != birth)
    }

    /// Why what is at the path now is not what was chosen; nil: it is.
    func problem(with status: FileSystem.Status) -> String? {
        if inode == 0 { return nil }
        if isOther(status) {
            return "another file has taken the name of the one that its batch was given. The batch "
                + "does not read it, and a later one does. Leave files in place until their batch "
                + "has completed"
        }
        guard status.byteCount < byteCount else { return nil }
        return "it had \(byteCount) bytes when its batch was given it, and has "
            + "\(status.byteCount). Write files elsewhere and rename them into the directory when "
            + "they are complete"
    }

    /// The path, the length and which file it is: the task reads it where it runs.
    func encoded() throws -> EncodedValues { try encoded(isFixed: true) }

    /// The path and the length: whoever mends the file may put another one in its place.
    ///
    /// But one that is there now is read by another batch.
    func encodedForReplay() throws -> EncodedValues {
        let now = (try? FileSystem.status(path)) ?? nil
        let isTaken = now.map(isOther) ?? false
        return try encoded(isFixed: isTaken)
    }

    private func encoded(isFixed: Bool) throws -> EncodedValues {
        var writer = ByteWriter()
        writer.writeString(path)
        writer.writeVarint(UInt64(byteCount))
        if isFixed {
            writer.writeVarint(inode)
            writer.writeVarint(UInt64(birth))
        }
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
                let isFixed = !reader.isAtEnd
                let inode = isFixed ? try reader.readVarint() : 0
                let birth = isFixed ? UInt32(clamping: try reader.readVarint()) : 0
                try reader.requireEnd(of: "file")
                return FileSlice(path: path, byteCount: count, inode: inode, birth: birth)
            }
        default: return nil
        }
    }
}

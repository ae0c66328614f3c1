internal import BatchEngine

/// A file that a batch was given, and which one it was.
package struct ChosenFile: Sendable, Hashable {
    /// The path.
    package let path: String
    /// The hash of its directory; 0: not known.
    let directory: UInt64
    /// Its number in its file system; 0: whatever has the path is read.
    let inode: UInt64
    /// When it was made, as a hash; 0: the file system does not say.
    let birth: UInt32
    /// Changes with its length and with its modification time; 0: not known.
    let print: UInt32
    /// How long it was.
    let byteCount: Int

    /// States which file was chosen.
    package init(
        path: String, directory: UInt64 = 0, inode: UInt64 = 0, birth: UInt32 = 0,
        print: UInt32 = 0, byteCount: Int = 0
    ) {
        self.path = path
        self.directory = directory
        self.inode = inode
        self.birth = birth
        self.print = print
        self.byteCount = byteCount
    }

    /// States that a file was chosen which was listed.
    ///
    /// - Parameter isFixed: whether no other file may be read in its place.
    init(_ entry: FileSelection.Entry, in directory: UInt64, isFixed: Bool) {
        self.init(
            path: entry.path, directory: directory, inode: isFixed ? entry.inode : 0,
            birth: entry.birth, print: entry.print, byteCount: entry.byteCount)
    }

    /// What is at a path now: earlier versions kept paths alone.
    init(lookingAt path: String) {
        let parent = FileSystem.parent(of: path) ?? "."
        guard let directory = try? FileSystem.status(parent),
            let status = try? FileSystem.status(path)
        else {
            self.init(path: path)
            return
        }
        self.init(
            FileSelection.Entry(path: path, status), in: directory.directoryKey(at: parent),
            isFixed: true)
    }
}

extension [ChosenFile] {
    /// A varint with their number, and of each what ``ChosenFile/write(to:)`` writes.
    func encoded() throws -> [UInt8] {
        var writer = ByteWriter()
        writer.writeVarint(UInt64(count))
        for file in self { file.write(to: &writer) }
        return try writer.takeBytes()
    }

    init(encoded bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let files = try (0..<(try reader.readCount())).map { _ in
                try ChosenFile(from: &reader)
            }
            try reader.requireEnd(of: "files")
            return files
        }
    }
}

extension ChosenFile {
    /// The path, the directory, the inode, the birth, the print, and a varint with the length.
    func write(to writer: inout ByteWriter) {
        writer.writeString(path)
        writer.writeFixed(directory)
        writer.writeFixed(inode)
        writer.writeFixed(birth)
        writer.writeFixed(print)
        writer.writeVarint(UInt64(byteCount))
    }

    init(from reader: inout ByteReader) throws(CodecError) {
        path = try reader.readString()
        directory = try reader.readFixed()
        inode = try reader.readFixed()
        birth = try reader.readFixed()
        print = try reader.readFixed()
        byteCount = Int(clamping: try reader.readVarint())
    }
}

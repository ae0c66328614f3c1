/// What the name of a file or directory must look like: `*`, `?`, `[a-z]`, `[^a-z]`, `\` to escape.
package struct NamePattern: Sendable, Hashable {
    private enum Piece: Sendable, Hashable {
        case one(Unicode.Scalar)
        case any
        case many
        case among([ClosedRange<Unicode.Scalar>], isNegated: Bool)

        func matches(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .one(let own): own == scalar
            case .any: true
            case .many: false
            case .among(let ranges, let isNegated):
                ranges.contains { $0.contains(scalar) } != isNegated
            }
        }
    }

    private let pieces: [Piece]
    /// The name itself, when only one name matches.
    package let literal: String?

    /// Reads a pattern without braces.
    ///
    /// - Throws: ``PatternProblem``: an unclosed class, or nothing behind a `\`.
    package init(_ text: String) throws(PatternProblem) {
        var pieces: [Piece] = []
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*": pieces.append(.many)
            case "?": pieces.append(.any)
            case "[": pieces.append(try Self.readClass(&rest, text))
            case "\\":
                guard let escaped = rest.popFirst() else {
                    throw PatternProblem("nothing follows the last \\ in \(text)")
                }
                pieces.append(.one(escaped))
            default: pieces.append(.one(scalar))
            }
        }
        self.pieces = pieces
        var name = String.UnicodeScalarView()
        for case .one(let scalar) in pieces { name.append(scalar) }
        literal = name.count == pieces.count ? String(name) : nil
    }

    private static func readClass(
        _ rest: inout Substring.UnicodeScalarView, _ text: String
    ) throws(PatternProblem) -> Piece {
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        let isNegated = rest.first == "^" || rest.first == "!"
        if isNegated { rest.removeFirst() }
        var isFirst = true
        while let lower = rest.popFirst() {
            // Right behind the opening it is a member, as everywhere else with such patterns.
            if lower == "]", !isFirst { return .among(ranges, isNegated: isNegated) }
            isFirst = false
            let start = lower == "\\" ? rest.popFirst() ?? lower : lower
            guard rest.first == "-", let next = rest.dropFirst().first, next != "]" else {
                ranges.append(start...start)
                continue
            }
            rest.removeFirst(2)
            guard start <= next else {
                throw PatternProblem("the class \(start)-\(next) in \(text) is the wrong way round")
            }
            ranges.append(start...next)
        }
        throw PatternProblem("a [ is not closed in \(text)")
    }

    /// Whether the pattern describes `name`.
    ///
    /// - Complexity: O(length of the name × length of the pattern).
    package func matches(_ name: String) -> Bool {
        let scalars = Array(name.unicodeScalars)
        var (piece, index) = (0, 0)
        // Where to go on when a later piece does not match: the last star takes one more.
        var retry: (piece: Int, index: Int)?
        while index < scalars.count {
            if piece < pieces.count, pieces[piece] == .many {
                retry = (piece, index)
                piece += 1
            } else if piece < pieces.count, pieces[piece].matches(scalars[index]) {
                piece += 1
                index += 1
            } else if let star = retry {
                retry = (star.piece, star.index + 1)
                piece = star.piece + 1
                index = star.index + 1
            } else {
                return false
            }
        }
        return pieces[piece...].allSatisfy { $0 == .many }
    }
}

/// Why a pattern cannot be read.
package struct PatternProblem: Error, Hashable, CustomStringConvertible {
    /// The reason in words.
    package let description: String

    init(_ description: String) { self.description = description }
}

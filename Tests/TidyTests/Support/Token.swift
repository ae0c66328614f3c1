/// A piece of Swift source text, as far as the house rules need to tell pieces apart.
struct Token: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// An identifier, a keyword or a number; with its backticks, if it has any.
        case word
        /// One character of punctuation.
        case mark
        /// A string literal; the text is its content without the interpolations, whose tokens follow.
        case string
        /// A comment, with its slashes.
        case comment
    }

    var kind: Kind
    var text: String
    /// The line the token begins on, counted from 1.
    var line: Int
    /// Whether nothing lies between this token and the one before it.
    var touchesPrevious: Bool
}

extension Array where Element == Token {
    /// The tokens that a compiler acts on.
    var code: [Token] { filter { $0.kind != .comment } }

    /// The text of a token that is no string literal; nil outside of the array.
    func text(at index: Int) -> String? {
        guard indices.contains(index), self[index].kind != .string else { return nil }
        return self[index].text
    }

    /// The content of a string literal; nil if there is none at this place.
    func string(at index: Int) -> String? {
        guard indices.contains(index), self[index].kind == .string else { return nil }
        return self[index].text
    }

    /// The index of the mark that closes the one at `open`; nil if the text ends before.
    func closing(_ open: Int) -> Int? {
        var depth = 0
        for index in open..<count where self[index].kind == .mark {
            switch self[index].text {
            case "(", "[", "{": depth += 1
            case ")", "]", "}":
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return nil
    }

    /// The index behind a list of type arguments that begins at `index`; `index` if none does.
    func skippingTypeArguments(_ index: Int) -> Int {
        guard text(at: index) == "<" else { return index }
        var depth = 0
        for position in index..<count {
            switch text(at: position) {
            case "<": depth += 1
            case ">" where text(at: position - 1) != "-":
                depth -= 1
                if depth == 0 { return position + 1 }
            case "{", "}", ";": return index
            default: break
            }
        }
        return index
    }
}
